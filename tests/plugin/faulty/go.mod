module example.test/faulty

go 1.21
