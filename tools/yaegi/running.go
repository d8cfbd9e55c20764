package main

import (
	"go/ast"
	"go/types"
)

// checkGoroutines looks at go, and at the compiled functions that call back from a goroutine of their own.
func checkGoroutines(p *plugin, found report) {
	check := func(at ast.Node, f ast.Expr) {
		if !p.guarded(f) {
			found(at.Pos(), "a goroutine that does not recover from a panic")
		}
	}
	each(p, func(g *ast.GoStmt, _ []ast.Node) {
		if !p.compiled(p.callee(g.Call)) {
			check(g, g.Call.Fun)
		}
	})
	each(p, func(call *ast.CallExpr, _ []ast.Node) {
		f := p.callee(call)
		if f != nil && len(call.Args) == 2 && (f.FullName() == "time.AfterFunc" || f.FullName() == "context.AfterFunc") {
			if !p.compiled(p.function(call.Args[1])) {
				check(call, call.Args[1])
			}
		}
	})
}

// guarded says whether a function defers one that recovers. What can't be found isn't.
func (p *plugin) guarded(f ast.Expr) bool {
	body := p.code(f)
	if body == nil {
		return false
	}
	for _, statement := range body.List {
		if d, ok := statement.(*ast.DeferStmt); ok && p.recovers(p.code(d.Call.Fun)) {
			return true
		}
	}
	return false
}

func (p *plugin) code(f ast.Expr) *ast.BlockStmt {
	if literal, ok := ast.Unparen(f).(*ast.FuncLit); ok {
		return literal.Body
	}
	if named := p.function(f); named != nil {
		return p.body(named)
	}
	return nil
}

// recovers says whether the function itself calls recover; one that it calls can't.
func (p *plugin) recovers(body *ast.BlockStmt) bool {
	if body == nil {
		return false
	}
	recovers := false
	within(body, func(call *ast.CallExpr, around []ast.Node) {
		for _, node := range around {
			if _, nested := node.(*ast.FuncLit); nested {
				return
			}
		}
		recovers = recovers || p.builtin(call) == "recover"
	})
	return recovers
}

// checkByteLoops looks at range over bytes, and at counting loops that index them.
func checkByteLoops(p *plugin, found report) {
	each(p, func(loop *ast.RangeStmt, _ []ast.Node) {
		if ofBytes(p.typeOf(loop.X)) {
			found(loop.Pos(), "a loop over the bytes of "+types.ExprString(loop.X))
		}
	})
	each(p, func(loop *ast.ForStmt, _ []ast.Node) {
		init, ok := loop.Init.(*ast.AssignStmt)
		if !ok {
			return
		}
		counters := map[types.Object]bool{}
		for _, target := range init.Lhs {
			counters[p.root(target)] = true
		}
		reported := false
		within(loop, func(index *ast.IndexExpr, _ []ast.Node) {
			if reported || !ofBytes(p.typeOf(index.X)) {
				return
			}
			within(index.Index, func(name *ast.Ident, _ []ast.Node) {
				reported = reported || counters[p.info.Uses[name]]
			})
			if reported {
				found(loop.Pos(), "a loop over the bytes of "+types.ExprString(index.X))
			}
		})
	})
}

// ofBytes says whether a type is a string, or a slice or array of bytes.
func ofBytes(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&types.IsString != 0
	case *types.Slice:
		return isByte(t.Elem())
	case *types.Array:
		return isByte(t.Elem())
	case *types.Pointer:
		array, ok := t.Elem().Underlying().(*types.Array)
		return ok && isByte(array.Elem())
	}
	return false
}

func isByte(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Kind() == types.Byte
}
