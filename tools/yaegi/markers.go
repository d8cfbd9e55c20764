package main

import (
	"go/ast"
	"go/token"
	"strings"
)

const marker = "//yaegi:ignore"

// markers are the comments that let a line break a rule, on it or alone above it, by their places.
type markers map[token.Position]*mark

type mark struct {
	line   int // that it is about
	reason string
	used   bool
}

func (m markers) collect(fset *token.FileSet, file *ast.File, source []byte) {
	lines := strings.Split(string(source), "\n")
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if reason, ok := strings.CutPrefix(comment.Text, marker); ok {
				at := fset.Position(comment.Pos())
				line := at.Line
				if strings.TrimSpace(lines[line-1][:at.Column-1]) == "" {
					line++
				}
				m[at] = &mark{line: line, reason: strings.TrimSpace(reason)}
			}
		}
	}
}

// filter takes out what is let pass, and puts in markers that say no reason or have no use.
func (m markers) filter(findings []finding) []finding {
	kept := []finding{}
	for _, f := range findings {
		if !m.lets(f.at) {
			kept = append(kept, f)
		}
	}
	for at, one := range m {
		if one.reason == "" {
			kept = append(kept, finding{at, marker + " without a reason. Write behind it why the line is right all the same. [ignore]"})
		} else if !one.used {
			kept = append(kept, finding{at, marker + " where nothing is to be ignored. Take it away. [ignore]"})
		}
	}
	return kept
}

func (m markers) lets(at token.Position) bool {
	let := false
	for place, one := range m {
		if place.Filename == at.Filename && one.line == at.Line && one.reason != "" {
			one.used = true
			let = true
		}
	}
	return let
}
