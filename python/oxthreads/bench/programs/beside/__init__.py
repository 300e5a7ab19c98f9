"""What runs beside the programs, in processes of their own, on the standard library on both sides."""
