enum MillKafkaPlaceholder {}
