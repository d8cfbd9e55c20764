package main

import (
	"go/ast"
	"go/types"
)

func checkMethodExpressions(p *plugin, found report) {
	each(p, func(s *ast.SelectorExpr, _ []ast.Node) {
		if selection := p.info.Selections[s]; selection != nil && selection.Kind() == types.MethodExpr {
			found(s.Pos(), "the method expression "+types.ExprString(s))
		}
	})
}

func checkAssignNil(p *plugin, found report) {
	each(p, func(a *ast.AssignStmt, _ []ast.Node) {
		for _, value := range a.Rhs {
			if len(a.Rhs) > 1 && p.info.Types[value].IsNil() {
				found(value.Pos(), "nil beside another value in one assignment")
			}
		}
	})
}

func checkErrorsAs(p *plugin, found report) {
	each(p, func(call *ast.CallExpr, _ []ast.Node) {
		f := p.callee(call)
		if f == nil || f.FullName() != "errors.As" || len(call.Args) != 2 {
			return
		}
		if target, ok := p.typeOf(call.Args[1]).(*types.Pointer); ok && (p.own(target.Elem()) || p.ownInterface(target.Elem())) {
			found(call.Pos(), "errors.As to "+p.name(target.Elem()))
		}
	})
}

func checkErrorTypes(p *plugin, found report) {
	failure := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	each(p, func(spec *ast.TypeSpec, _ []ast.Node) {
		object := p.info.Defs[spec.Name]
		if object == nil || types.IsInterface(object.Type()) || spec.TypeParams != nil {
			return
		}
		if types.Implements(types.NewPointer(object.Type()), failure) {
			found(spec.Pos(), "the error type "+spec.Name.Name)
		}
	})
}

func checkVariadicInterfaces(p *plugin, found report) {
	each(p, func(call *ast.CallExpr, _ []ast.Node) {
		f := p.callee(call)
		if !p.compiled(f) || call.Ellipsis.IsValid() {
			return
		}
		signature, ok := p.typeOf(call.Fun).(*types.Signature) // of a generic function, with the types it has here
		if !ok || !signature.Variadic() {
			return
		}
		last := signature.Params().Len() - 1
		element := signature.Params().At(last).Type().(*types.Slice).Elem()
		if i, ok := element.Underlying().(*types.Interface); !ok || i.Empty() {
			return
		}
		for n, argument := range call.Args {
			if t := p.typeOf(argument); n >= last && p.own(t) && !types.IsInterface(t) {
				found(argument.Pos(), p.name(t)+" as one of many "+element.String()+"s")
			}
		}
	})
}

// checkUnnamedParameters passes functions that only interpreted code calls: they work.
func checkUnnamedParameters(p *plugin, found report) {
	values := map[types.Object]bool{}
	each(p, func(name *ast.Ident, around []ast.Node) {
		f, ok := p.info.Uses[name].(*types.Func)
		if !ok {
			return
		}
		if call, isCall := around[len(around)-1].(*ast.CallExpr); !isCall || call.Fun != name {
			values[f] = true
		}
	})
	check := func(f *ast.FuncType) {
		for _, field := range f.Params.List {
			if len(field.Names) == 0 {
				found(field.Pos(), "a parameter without a name")
				return
			}
		}
	}
	each(p, func(d *ast.FuncDecl, _ []ast.Node) {
		if d.Recv != nil || values[p.info.Defs[d.Name]] {
			check(d.Type)
		}
	})
	each(p, func(literal *ast.FuncLit, _ []ast.Node) { check(literal.Type) })
}

// name is a type as the plugin's source writes it.
func (p *plugin) name(t types.Type) string { return types.TypeString(t, types.RelativeTo(p.pkg)) }
