"""Which convolutions leave INT8 so that masks stay within limits; it decides plans and writes no engine."""
