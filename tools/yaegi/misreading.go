package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

func checkInterfaceAssertions(p *plugin, found report) {
	each(p, func(a *ast.TypeAssertExpr, _ []ast.Node) {
		if a.Type != nil && p.ownInterface(p.typeOf(a.Type)) {
			found(a.Pos(), "a type assertion to "+p.name(p.typeOf(a.Type)))
		}
	})
}

func checkInterfaceCases(p *plugin, found report) {
	each(p, func(s *ast.TypeSwitchStmt, _ []ast.Node) {
		for _, clause := range s.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				if t := p.typeOf(e); types.IsInterface(t) {
					found(e.Pos(), "the interface "+p.name(t)+" as a case of a type switch")
				}
			}
		}
	})
}

// checkLoopVariables looks for whatever outlives the round: a closure, an address, a method value. A literal
// that is called on the spot does not.
func checkLoopVariables(p *plugin, found report) {
	check := func(body *ast.BlockStmt, variables map[types.Object]bool) {
		within(body, func(name *ast.Ident, around []ast.Node) {
			if variables[p.info.Uses[name]] && p.outlives(name, around) {
				found(name.Pos(), "the loop variable "+name.Name+" in something that outlives the round")
			}
		})
	}
	each(p, func(loop *ast.ForStmt, _ []ast.Node) {
		if init, ok := loop.Init.(*ast.AssignStmt); ok && init.Tok == token.DEFINE {
			check(loop.Body, p.defined(init.Lhs...))
		}
	})
	each(p, func(loop *ast.RangeStmt, _ []ast.Node) {
		if loop.Tok == token.DEFINE {
			check(loop.Body, p.defined(loop.Key, loop.Value))
		}
	})
}

func (p *plugin) defined(names ...ast.Expr) map[types.Object]bool {
	variables := map[types.Object]bool{}
	for _, e := range names {
		if name, ok := e.(*ast.Ident); ok && p.info.Defs[name] != nil {
			variables[p.info.Defs[name]] = true
		}
	}
	return variables
}

func (p *plugin) outlives(name *ast.Ident, around []ast.Node) bool {
	for i, node := range around {
		literal, ok := node.(*ast.FuncLit)
		if !ok {
			continue
		}
		call, called := around[i-1].(*ast.CallExpr)
		if !called || call.Fun != literal {
			return true
		}
		switch around[i-2].(type) {
		case *ast.GoStmt, *ast.DeferStmt:
			return true
		}
	}
	// From the variable outwards, as long as it is the variable's own memory: v, v.f, v.array[0].
	var inner ast.Expr = name
	for i := len(around) - 1; i >= 0; i-- {
		switch outer := around[i].(type) {
		case *ast.ParenExpr:
			inner = outer
			continue
		case *ast.SelectorExpr:
			selection := p.info.Selections[outer]
			if selection == nil || outer.X != inner {
				return false
			}
			if selection.Kind() == types.MethodVal {
				call, called := around[i-1].(*ast.CallExpr)
				return !called || call.Fun != outer
			}
			if selection.Indirect() {
				return false
			}
			inner = outer
			continue
		case *ast.IndexExpr:
			if _, array := p.typeOf(inner).Underlying().(*types.Array); !array || outer.X != inner {
				return false
			}
			inner = outer
			continue
		case *ast.SliceExpr:
			_, array := p.typeOf(inner).Underlying().(*types.Array)
			return array && outer.X == inner
		case *ast.UnaryExpr:
			return outer.Op == token.AND
		}
		return false
	}
	return false
}

func checkDeferLoops(p *plugin, found report) {
	each(p, func(d *ast.DeferStmt, around []ast.Node) {
		for i := len(around) - 1; i >= 0; i-- {
			switch around[i].(type) {
			case *ast.FuncLit, *ast.FuncDecl:
				return
			case *ast.ForStmt, *ast.RangeStmt:
				found(d.Pos(), "defer in a loop")
				return
			}
		}
	})
}

// checkLateArguments looks at defer, and at go with a compiled function: variables and fields given to them as
// they are, receivers too, that a later statement of the function changes.
func checkLateArguments(p *plugin, found report) {
	check := func(call *ast.CallExpr, around []ast.Node) {
		operands := append([]ast.Expr{}, call.Args...)
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && p.info.Selections[s] != nil {
			operands = append(operands, s.X)
		}
		from, body := scope(call, around)
		for _, operand := range operands {
			if p.changed(operand, from, body) {
				found(operand.Pos(), types.ExprString(operand)+", which changes later, in a call that runs later")
			}
		}
	}
	each(p, func(d *ast.DeferStmt, around []ast.Node) { check(d.Call, around) })
	each(p, func(g *ast.GoStmt, around []ast.Node) {
		if p.compiled(p.callee(g.Call)) {
			check(g.Call, around)
		}
	})
}

// scope is the function around a call, and from where in it statements run after the call: all of a loop does.
func scope(call *ast.CallExpr, around []ast.Node) (token.Pos, ast.Node) {
	from := call.End()
	for i := len(around) - 1; i >= 0; i-- {
		switch node := around[i].(type) {
		case *ast.FuncLit, *ast.FuncDecl:
			return from, node
		case *ast.ForStmt, *ast.RangeStmt:
			from = node.Pos()
		}
	}
	return from, around[0]
}

// changed says whether the value at a path such as x.f is assigned anew behind a place.
func (p *plugin) changed(path ast.Expr, from token.Pos, body ast.Node) bool {
	root, text := p.root(path), types.ExprString(path)
	if root == nil {
		return false
	}
	_, isPointer := p.typeOf(path).Underlying().(*types.Pointer)
	changes := false
	assigned := func(target ast.Expr) {
		if target.Pos() < from || p.root(target) != root {
			return
		}
		written := types.ExprString(target)
		changes = changes || written == text || strings.HasPrefix(text, written+".") || !isPointer && strings.HasPrefix(written, text+".")
	}
	within(body, func(a *ast.AssignStmt, _ []ast.Node) {
		for _, target := range a.Lhs {
			assigned(target)
		}
	})
	within(body, func(s *ast.IncDecStmt, _ []ast.Node) { assigned(s.X) })
	within(body, func(r *ast.RangeStmt, _ []ast.Node) {
		for _, target := range []ast.Expr{r.Key, r.Value} {
			if target != nil {
				assigned(target)
			}
		}
	})
	return changes
}

// checkAssignCalls passes definitions with calls, and assignments of calls only that don't depend on each other.
func checkAssignCalls(p *plugin, found report) {
	each(p, func(a *ast.AssignStmt, _ []ast.Node) {
		if len(a.Rhs) < 2 {
			return
		}
		calls := 0
		for _, value := range a.Rhs {
			if isReceive(value) {
				found(value.Pos(), "a receive beside another value in one assignment")
				return
			}
			if call, ok := value.(*ast.CallExpr); ok && !p.isConversion(call) {
				calls++
			}
		}
		if a.Tok != token.ASSIGN || calls == 0 {
			return
		}
		if calls < len(a.Rhs) {
			found(a.Pos(), "a call beside another value in one assignment")
		} else if p.dependent(a) {
			found(a.Pos(), "a call of what the same assignment changes")
		}
	})
}

// dependent says whether a value reads what stands further to the left among the targets.
func (p *plugin) dependent(a *ast.AssignStmt) bool {
	depends := false
	for i, target := range a.Lhs {
		for _, value := range a.Rhs[i+1:] {
			within(value, func(e ast.Expr, _ []ast.Node) {
				depends = depends || types.ExprString(e) == types.ExprString(target)
			})
		}
	}
	return depends
}
