"""Code that several tests share, apart from fixtures."""
