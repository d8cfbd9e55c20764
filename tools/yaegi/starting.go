package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"go/version"
	"os"
	"strings"
)

// newest is the language that Yaegi 0.16.1 speaks.
const newest = "1.21"

// checkVersion keeps the compiler from what Yaegi does otherwise, and lets go vet find what is too new in
// the library. It is about go.mod, so it isn't in the table.
func checkVersion(p *plugin) []finding {
	file, err := os.Open(p.module)
	if err != nil {
		return nil // load has looked
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for line := 1; lines.Scan(); line++ {
		words := strings.Fields(lines.Text())
		if len(words) == 2 && words[0] == "go" && version.Compare(version.Lang("go"+words[1]), "go"+newest) > 0 {
			at := token.Position{Filename: p.module, Line: line, Column: 1}
			return []finding{{at, fmt.Sprintf("go %s: Yaegi has the loop variables of Go %s, so compiled tests would pass where Traefik fails. "+
				"Write instead: go %s. [version]", words[1], newest, newest)}}
		}
	}
	return nil
}

// missing are packages of the library that Yaegi in Traefik does not have, or that came after Go 1.22.
var missing = map[string]bool{
	"C": true, "crypto/fips140": true, "crypto/hkdf": true, "crypto/mlkem": true, "crypto/pbkdf2": true, "crypto/sha3": true,
	"embed": true, "encoding/json/jsontext": true, "encoding/json/v2": true, "iter": true, "os/exec": true, "plugin": true,
	"runtime/cgo": true, "runtime/coverage": true, "structs": true, "syscall": true, "testing/synctest": true,
	"time/tzdata": true, "unique": true, "unsafe": true, "weak": true,
}

func checkImports(p *plugin, found report) {
	each(p, func(i *ast.ImportSpec, _ []ast.Node) {
		path := strings.Trim(i.Path.Value, "`\"")
		first, _, _ := strings.Cut(path, "/")
		switch {
		case missing[path]:
			found(i.Pos(), "import of "+path)
		case strings.Contains(first, "."):
			found(i.Pos(), "import of "+path+", which is not in the standard library")
		}
	})
}

func checkBuiltins(p *plugin, found report) {
	each(p, func(call *ast.CallExpr, _ []ast.Node) {
		if name := p.builtin(call); name == "clear" || name == "min" || name == "max" {
			found(call.Pos(), "the builtin "+name)
		}
	})
}

func checkRangeInteger(p *plugin, found report) {
	each(p, func(loop *ast.RangeStmt, _ []ast.Node) {
		if basic, ok := p.typeOf(loop.X).Underlying().(*types.Basic); ok && basic.Info()&types.IsInteger != 0 {
			found(loop.Pos(), "range over an integer")
		}
	})
}

func checkRangeFunction(p *plugin, found report) {
	each(p, func(loop *ast.RangeStmt, _ []ast.Node) {
		if _, ok := p.typeOf(loop.X).Underlying().(*types.Signature); ok {
			found(loop.Pos(), "range over a function")
		}
	})
}

func checkOwnGenerics(p *plugin, found report) {
	each(p, func(d *ast.FuncDecl, _ []ast.Node) {
		if d.Type.TypeParams != nil {
			found(d.Pos(), "the generic function "+d.Name.Name)
		}
	})
	each(p, func(t *ast.TypeSpec, _ []ast.Node) {
		if t.TypeParams != nil {
			found(t.Pos(), "the generic type "+t.Name.Name)
		}
	})
}

// workingGenerics were seen to work in real Traefik.
var workingGenerics = map[string]bool{
	"cmp.Compare": true, "cmp.Less": true,
	"slices.Contains": true, "slices.ContainsFunc": true, "slices.Index": true, "slices.IndexFunc": true,
}

func checkLibraryGenerics(p *plugin, found report) {
	each(p, func(name *ast.Ident, _ []ast.Node) {
		used := p.info.Uses[name]
		if used == nil || used.Pkg() == nil || used.Pkg() == p.pkg {
			return
		}
		full := used.Pkg().Path() + "." + used.Name()
		if _, generic := p.info.Instances[name]; generic && !workingGenerics[full] {
			found(name.Pos(), "the generic "+full)
		}
	})
}

// checkMethodValues passes those without parameters, and those that go straight to compiled code: they work.
func checkMethodValues(p *plugin, found report) {
	each(p, func(s *ast.SelectorExpr, around []ast.Node) {
		selection := p.info.Selections[s]
		if selection == nil || selection.Kind() != types.MethodVal || selection.Obj().Pkg() == p.pkg {
			return
		}
		if selection.Type().(*types.Signature).Params().Len() == 0 {
			return
		}
		if call, ok := around[len(around)-1].(*ast.CallExpr); ok {
			if call.Fun == s || p.compiled(p.callee(call)) || p.isConversion(call) && !p.own(p.typeOf(call.Fun)) {
				return
			}
		}
		found(s.Pos(), "the method "+types.ExprString(s)+" of a compiled type as a value")
	})
}
