"""The command line: one thin module per verb, over the public function of the same name."""
