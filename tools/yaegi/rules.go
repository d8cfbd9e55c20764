package main

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
	"strings"
)

// rule is one construct that has no place in the plugin. tests/tools/test_yaegi_lint.py holds a sample of each,
// and of what to write instead, and runs both in real Traefik.
type rule struct {
	name    string
	what    string // Yaegi does with it
	instead string
	check   func(*plugin, report)
}

// report takes the place of a construct and its name.
type report func(at token.Pos, construct string)

// rules are in the order of harm: what stops Traefik first.
var rules = []rule{
	// Traefik does not start, or without any plugin.
	{"import", "Yaegi does not have it", "another package of the library; a signal can be made from the type of os.Interrupt by reflection", checkImports},
	{"builtin", "Yaegi does not know it (undefined)", "a loop, an if, or a new map", checkBuiltins},
	{"range-integer", "Yaegi stops Traefik with a panic at start", "for i := 0; i < n; i++", checkRangeInteger},
	{"range-function", "Yaegi stops Traefik with a panic at start", "a loop over a slice, or call the function with a callback", checkRangeFunction},
	{"generic", "Yaegi infers types wrongly, and stops Traefik with a panic where it can't", "the type itself", checkOwnGenerics},
	{"library-generic", "Yaegi lacks it or fails to infer its types", "sort.Slice, sync.Once, atomic.Value or a loop", checkLibraryGenerics},
	{"method-value", "Yaegi keeps the receiver as a parameter, so that the types don't match", "a function literal that calls it", checkMethodValues},

	// A panic when it runs.
	{"method-expression", "Yaegi loses the receiver: a panic", "a function literal that calls the method", checkMethodExpressions},
	{"receive", "Yaegi can't set what it receives into: a panic, or the value is lost", "v, ok := <-c, or v := <-c where nothing changes v", checkReceives},
	{"assign-nil", "Yaegi has no type for nil beside another value: a panic", "two statements", checkAssignNil},
	{"errors-as", "errors.As can't see interpreted types: a panic", "a type assertion, or a compiled error type as the target", checkErrorsAs},
	{"error-type", "compiled code sees a wrapper: errors.As and == panic, errors.Is says no", "errors.New or fmt.Errorf", checkErrorTypes},
	{"variadic-interface", "Yaegi does not wrap variadic arguments: a panic", "a variable of the interface's type first", checkVariadicInterfaces},
	{"unnamed-parameter", "Yaegi takes the argument for a result when compiled code calls: a panic", "a name; _ will do", checkUnnamedParameters},

	// Silently wrong.
	{"interface-assertion", "Yaegi says no, or panics: it does not know the methods of interpreted interfaces", "a type assertion to a compiled interface, such as io.Closer, or to the type itself", checkInterfaceAssertions},
	{"interface-case", "Yaegi passes the case over", "if c, ok := v.(io.Closer); ok", checkInterfaceCases},
	{"loop-variable", "all rounds share one variable, as before Go 1.22", "a copy in the body (v := v), or an argument", checkLoopVariables},
	{"defer-loop", "Yaegi gives all rounds the values of the last", "a function for the body", checkDeferLoops},
	{"late-argument", "Yaegi reads it when the call runs, not here", "a copy that nothing changes", checkLateArguments},
	{"assign-call", "Yaegi loses the other values", "a statement for each", checkAssignCalls},
	{"json-embedded", "Yaegi's embedded structs are ordinary fields: JSON has them one level down", "the fields themselves, or json:\"-\"", checkEmbeddedInJSON},
	{"json-unexported", "Yaegi exports every field: JSON would have it, as X and its name", "json:\"-\", or another struct for the wire", checkUnexportedInJSON},
	{"json-method", "encoding/json does not see methods of interpreted types inside other values", "fields of compiled types", checkJSONMethods},

	// Safe and cheap.
	{"goroutine", "a panic in it ends Traefik", "defer a function that recovers, at the beginning of it", checkGoroutines},
	{"byte-loop", "Yaegi takes 60 to 90 ns for each byte", "the functions of bytes and strings", checkByteLoops},
}

// finding is a construct at its place; file:line:column comes first, as editors like it.
type finding struct {
	at   token.Position
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s: %s", f.at, f.text) }

// lint gives what breaks a rule in a folder, in the order of the files.
func lint(folder string) ([]finding, error) {
	p, err := load(folder)
	if err != nil {
		return nil, err
	}
	findings := checkVersion(p)
	for _, r := range rules {
		r.check(p, func(at token.Pos, construct string) {
			text := fmt.Sprintf("%s: %s. Write instead: %s. [%s]", construct, r.what, r.instead, r.name)
			findings = append(findings, finding{p.fset.Position(at), text})
		})
	}
	findings = p.markers.filter(findings)
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.at.Filename, b.at.Filename), a.at.Line-b.at.Line, a.at.Column-b.at.Column)
	})
	if len(findings) == 0 && p.broken != nil {
		return nil, fmt.Errorf("%s does not compile: %w", folder, p.broken)
	}
	return slices.Compact(findings), nil
}
