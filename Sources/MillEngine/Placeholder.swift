enum MillEnginePlaceholder {}
