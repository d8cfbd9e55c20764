package main

import (
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strings"
)

func checkEmbeddedInJSON(p *plugin, found report) {
	for _, f := range p.jsonFields() {
		if f.Embedded() {
			found(f.Pos(), "the embedded "+f.Name()+" in a struct that is written as JSON")
		}
	}
}

func checkUnexportedInJSON(p *plugin, found report) {
	for _, f := range p.jsonFields() {
		if !f.Embedded() && !f.Exported() {
			found(f.Pos(), "the unexported field "+f.Name()+" in a struct that is written as JSON")
		}
	}
}

func checkJSONMethods(p *plugin, found report) {
	names := []string{"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText"}
	each(p, func(d *ast.FuncDecl, _ []ast.Node) {
		if d.Recv != nil && slices.Contains(names, d.Name.Name) {
			found(d.Name.Pos(), "the method "+d.Name.Name)
		}
	})
}

// jsonFields are the fields that encoding/json would see: of structs with json tags, of those given to it, and of
// the structs within them.
func (p *plugin) jsonFields() []*types.Var {
	structs := jsonStructs{p: p, seen: map[types.Type]bool{}}
	each(p, func(s *ast.StructType, _ []ast.Node) {
		if t, ok := p.typeOf(s).(*types.Struct); ok && tagged(t) {
			structs.add(t)
		}
	})
	each(p, func(call *ast.CallExpr, _ []ast.Node) {
		if f := p.callee(call); f != nil && f.Pkg() != nil && f.Pkg().Path() == "encoding/json" {
			for _, argument := range call.Args {
				structs.add(p.typeOf(argument))
			}
		}
	})
	return structs.fields
}

func tagged(s *types.Struct) bool {
	for i := range s.NumFields() {
		if strings.Contains(s.Tag(i), "json:") {
			return true
		}
	}
	return false
}

type jsonStructs struct {
	p      *plugin
	seen   map[types.Type]bool
	fields []*types.Var
}

// add follows a type to the plugin's own structs.
func (s *jsonStructs) add(t types.Type) {
	t = types.Unalias(t)
	if s.seen[t] {
		return
	}
	s.seen[t] = true
	if named, ok := t.(*types.Named); ok {
		if named.Obj().Pkg() == s.p.pkg {
			s.add(named.Underlying())
		}
		return
	}
	switch t := t.(type) {
	case *types.Pointer:
		s.add(t.Elem())
	case *types.Slice:
		s.add(t.Elem())
	case *types.Array:
		s.add(t.Elem())
	case *types.Map:
		s.add(t.Elem())
	case *types.Struct:
		for i := range t.NumFields() {
			if reflect.StructTag(t.Tag(i)).Get("json") != "-" {
				s.fields = append(s.fields, t.Field(i))
				s.add(t.Field(i).Type())
			}
		}
	}
}
