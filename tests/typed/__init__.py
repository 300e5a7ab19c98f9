"""Programs for type checkers: `assert_type` says what they must find out. Nobody imports them."""
