module github.com/lemonit-eric-mao/llmtoken

go 1.21
