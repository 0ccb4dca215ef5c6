"""Turn a program into code for one kind of silicon; one folder for each target."""
