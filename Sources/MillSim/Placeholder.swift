enum MillSimPlaceholder {}
