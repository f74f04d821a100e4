"""Looks at the machine: doctor, bench, qualify and advise. Nothing here runs beside live video."""
