// Command lint rejects Go constructs in a Traefik plugin that Yaegi 0.16.1, Traefik's
// interpreter, can't take or takes wrongly. The compiler and the Go tests don't see these.
//
//	go run -C tools/yaegi . ../../plugin
//
// It reads every folder given, without its tests, and exits with 1 when it has found something.
// A line that is right all the same says why: //yaegi:ignore and the reason.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -C tools/yaegi . FOLDER... (such as ../../plugin)")
		os.Exit(2)
	}
	found := false
	for _, folder := range os.Args[1:] {
		findings, err := lint(folder)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		for _, f := range findings {
			fmt.Println(f)
		}
		found = found || len(findings) > 0
	}
	if found {
		os.Exit(1)
	}
}
