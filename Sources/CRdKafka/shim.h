#pragma once
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <string.h>

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

/// One setting of a topic, as the brokers tell it, into `value` (cut to `size`, empty where they don't tell). Waits at most `timeout_ms`.
/// `RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE`: the cluster names no controller that it has (the mock one); the call would run into its time-out.
static inline rd_kafka_resp_err_t mr_kafka_topic_setting(rd_kafka_t *client, const char *topic, const char *name, char *value, size_t size,
                                                         int timeout_ms) {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  value[0] = 0;
  const struct rd_kafka_metadata *brokers;
  if ((code = rd_kafka_metadata(client, 0, NULL, &brokers, timeout_ms))) return code;
  int32_t controller = rd_kafka_controllerid(client, timeout_ms);
  int is_there = 0;
  for (int i = 0; i < brokers->broker_cnt; i++) is_there |= brokers->brokers[i].id == controller;
  rd_kafka_metadata_destroy(brokers);
  if (!is_there) return RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
  rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
  char text[256];
  rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
  rd_kafka_DescribeConfigs(client, &resource, 1, options, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
  if (!event) {
    code = RD_KAFKA_RESP_ERR__TIMED_OUT;
  } else if (!(code = rd_kafka_event_error(event))) {
    size_t count = 0, entries = 0;
    const rd_kafka_ConfigResource_t **found =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count == 1 && !(code = rd_kafka_ConfigResource_error(found[0]))) {
      const rd_kafka_ConfigEntry_t **all = rd_kafka_ConfigResource_configs(found[0], &entries);
      for (size_t i = 0; i < entries; i++) {
        const char *is = rd_kafka_ConfigEntry_value(all[i]);
        if (is && !strcmp(rd_kafka_ConfigEntry_name(all[i]), name)) snprintf(value, size, "%s", is);
      }
    }
  }
  if (event) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy(resource);
  return code;
}
