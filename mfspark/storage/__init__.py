"""Where warehouses and scratch lie."""
