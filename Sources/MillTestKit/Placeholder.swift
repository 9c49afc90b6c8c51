enum MillTestKitPlaceholder {}
