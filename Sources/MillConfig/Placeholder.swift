enum MillConfigPlaceholder {}
