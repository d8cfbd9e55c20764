module yaegi.invalid/lint

go 1.23
