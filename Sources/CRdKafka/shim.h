#pragma once
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/// rd_kafka_producev with a timestamp, which the calls without variadics don't take. Copies the payload and key; takes `headers`
/// over when it succeeds. `partition` -1: the partitioner chooses. `timestamp` 0: now. A null pointer stands for a null key or payload.
static inline rd_kafka_resp_err_t mr_kafka_produce(rd_kafka_t *client, rd_kafka_topic_t *topic, int32_t partition, const void *key,
                                                   size_t key_size, const void *payload, size_t payload_size, int64_t timestamp,
                                                   rd_kafka_headers_t *headers) {
  if (headers)
    return rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE((void *)payload, payload_size),
                             RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
  return rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE((void *)payload, payload_size),
                           RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END);
}
