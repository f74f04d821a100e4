"""What can this box do? doctor, bench and qualify look at the machine; nothing here runs beside live video."""
