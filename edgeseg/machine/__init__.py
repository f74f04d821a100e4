"""Looks at the machine: doctor, bench and qualify. Nothing here runs beside live video."""
