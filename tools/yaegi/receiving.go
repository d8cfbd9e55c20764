package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

// checkReceives rejects a bare receive where its value must be set: Yaegi keeps the value as it came, which can't be.
// Passed are x := <-c where nothing changes x, and whatever makes a new value: v, ok := <-c, f(<-c), <-c + 1.
func checkReceives(p *plugin, found report) {
	each(p, func(r *ast.ReturnStmt, _ []ast.Node) {
		for _, result := range r.Results {
			if isReceive(result) {
				found(result.Pos(), "return of "+types.ExprString(result))
			}
		}
	})
	each(p, func(a *ast.AssignStmt, around []ast.Node) {
		if len(a.Lhs) != 1 || !isReceive(a.Rhs[0]) || types.ExprString(a.Lhs[0]) == "_" {
			return
		}
		_, inSelect := around[len(around)-1].(*ast.CommClause)
		switch {
		case a.Tok == token.ASSIGN:
			found(a.Pos(), "a receive into something that exists")
		case a.Tok == token.DEFINE && !inSelect && p.set(a.Lhs[0], a.End(), around):
			found(a.Pos(), "a receive into "+types.ExprString(a.Lhs[0])+", which changes later")
		}
	})
	each(p, func(v *ast.ValueSpec, around []ast.Node) {
		if len(v.Names) == 1 && len(v.Values) == 1 && isReceive(v.Values[0]) && p.set(v.Names[0], v.End(), around) {
			found(v.Pos(), "a receive into "+v.Names[0].Name+", which changes later")
		}
	})
}

// isReceive says whether an expression is <-c and nothing more; (<-c) is another to Yaegi.
func isReceive(e ast.Expr) bool {
	u, ok := e.(*ast.UnaryExpr)
	return ok && u.Op == token.ARROW
}

// set says whether a variable is assigned behind a place, or its address taken.
func (p *plugin) set(variable ast.Expr, from token.Pos, around []ast.Node) bool {
	body := function(around)
	if p.changed(variable, from, body) {
		return true
	}
	taken := false
	within(body, func(u *ast.UnaryExpr, _ []ast.Node) {
		taken = taken || u.Op == token.AND && p.root(u.X) == p.root(variable)
	})
	return taken
}
