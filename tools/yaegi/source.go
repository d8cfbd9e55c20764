package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

// plugin is a folder of Go, parsed and with types.
type plugin struct {
	fset    *token.FileSet
	files   []*ast.File
	info    *types.Info
	pkg     *types.Package
	markers markers
	module  string // the path of go.mod
	broken  error  // the first type error; rules still look at the rest
}

// The library is read from source, so that nothing but Go itself is needed; once for all folders.
var (
	fileSet = token.NewFileSet()
	library = importer.ForCompiler(fileSet, "source", nil)
)

func init() { build.Default.CgoEnabled = false } // no C compiler for net and os/user

func load(folder string) (*plugin, error) {
	p := &plugin{
		fset:   fileSet,
		module: filepath.Join(folder, "go.mod"),
		info: &types.Info{
			Types:      map[ast.Expr]types.TypeAndValue{},
			Defs:       map[*ast.Ident]types.Object{},
			Uses:       map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
			Instances:  map[*ast.Ident]types.Instance{},
		},
		markers: markers{},
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(p.fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, file)
		p.markers.collect(p.fset, file, source)
	}
	if len(p.files) == 0 {
		return nil, fmt.Errorf("%s: no Go files: name the folder of the plugin", folder)
	}
	if _, err := os.Stat(p.module); err != nil {
		return nil, fmt.Errorf("%s: the folder of a plugin has a go.mod: %w", folder, err)
	}
	config := types.Config{Importer: library, Error: func(err error) {
		if p.broken == nil {
			p.broken = err
		}
	}}
	p.pkg, err = config.Check(p.files[0].Name.Name, p.fset, p.files, p.info)
	if p.pkg == nil {
		return nil, errors.Join(p.broken, err)
	}
	return p, nil
}

// each calls visit for every node of the type, with the nodes around it, outermost first.
func each[T ast.Node](p *plugin, visit func(node T, around []ast.Node)) {
	for _, file := range p.files {
		within(file, visit)
	}
}

// within is each, below one node.
func within[T ast.Node](root ast.Node, visit func(node T, around []ast.Node)) {
	around := []ast.Node{}
	ast.Inspect(root, func(node ast.Node) bool {
		if node == nil {
			around = around[:len(around)-1]
			return true
		}
		if wanted, ok := node.(T); ok {
			visit(wanted, around)
		}
		around = append(around, node)
		return true
	})
}

func (p *plugin) typeOf(e ast.Expr) types.Type {
	if t := p.info.TypeOf(e); t != nil {
		return t
	}
	return types.Typ[types.Invalid]
}

// own says whether a type, or what it points to, is the plugin's. Yaegi interprets those.
func (p *plugin) own(t types.Type) bool {
	if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() == p.pkg
}

// ownInterface says whether a type is an interface with methods that no compiled package names.
func (p *plugin) ownInterface(t types.Type) bool {
	i, ok := t.Underlying().(*types.Interface)
	if !ok || i.Empty() {
		return false
	}
	_, named := types.Unalias(t).(*types.Named)
	return !named || p.own(t)
}

// callee is the function or method that a call names; nil for a literal or a variable.
func (p *plugin) callee(call *ast.CallExpr) *types.Func { return p.function(call.Fun) }

func (p *plugin) function(e ast.Expr) *types.Func {
	var name *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		name = e
	case *ast.SelectorExpr:
		name = e.Sel
	default:
		return nil
	}
	f, _ := p.info.Uses[name].(*types.Func)
	return f
}

// compiled says whether a function is not the plugin's.
func (p *plugin) compiled(f *types.Func) bool { return f != nil && f.Pkg() != p.pkg }

// builtin is the name of the builtin function that is called, if it is one.
func (p *plugin) builtin(call *ast.CallExpr) string {
	if name, ok := ast.Unparen(call.Fun).(*ast.Ident); ok {
		if b, ok := p.info.Uses[name].(*types.Builtin); ok {
			return b.Name()
		}
	}
	return ""
}

func (p *plugin) isConversion(call *ast.CallExpr) bool { return p.info.Types[call.Fun].IsType() }

// body is the code of the plugin's function of that name.
func (p *plugin) body(f *types.Func) *ast.BlockStmt {
	var body *ast.BlockStmt
	each(p, func(d *ast.FuncDecl, _ []ast.Node) {
		if p.info.Defs[d.Name] == f {
			body = d.Body
		}
	})
	return body
}

// root is the variable that a path such as x.f[0].g begins with.
func (p *plugin) root(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return p.info.ObjectOf(e)
	case *ast.SelectorExpr:
		return p.root(e.X)
	case *ast.IndexExpr:
		return p.root(e.X)
	case *ast.StarExpr:
		return p.root(e.X)
	}
	return nil
}

// function is the innermost function among the nodes around something; the file if there is none.
func function(around []ast.Node) ast.Node {
	for i := len(around) - 1; i >= 0; i-- {
		switch around[i].(type) {
		case *ast.FuncLit, *ast.FuncDecl:
			return around[i]
		}
	}
	return around[0]
}
