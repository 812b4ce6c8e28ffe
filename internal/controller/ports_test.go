package controller_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// ports gives an app n ports of the edge, or says why it has no more.
func (p *place) ports(caller platform.Caller, app string, n int) error {
	for range n {
		has := must(p.Ports(p.t.Context(), caller, app))(p.t)
		if _, err := p.AddPort(p.t.Context(), caller, app, controller.NewPort{Process: "web", Port: 7000 + len(has)}); err != nil {
			return err
		}
	}
	return nil
}

func TestOneUserTakesAQuarterOfThePortsByHoweverManyApps(t *testing.T) {
	p := open(t, controller.Options{TCPPorts: controller.PortRange{First: 30000, Last: 30015}})
	eve, bob, ann, root := p.user("eve"), p.user("bob"), p.user("ann"), p.user("root")
	p.write(func(tx *store.Tx) error { return tx.SetSuperuser("root", true) })
	root.Admin = true
	for app, owner := range map[string]platform.Caller{"one": eve, "two": eve, "blog": bob, "edge": root} {
		p.app(owner, app)
	}
	refused := func(what string, err error, owner string) {
		t.Helper()
		var told *platform.UserError
		if want := fmt.Sprintf("The apps of %s have 4 ports of the edge; those of one user may have 4 of the 16.", owner); !errors.As(err, &told) ||
			!errors.Is(err, platform.ErrConflict) || told.Message != want || !strings.Contains(told.Cure, "slipway ports remove") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(p.ports(eve, "one", 3), p.ports(eve, "two", 1), p.ports(bob, "blog", 4)); err != nil {
		t.Fatalf("within their shares: %v", err)
	}
	p.write(func(tx *store.Tx) error { return tx.SetCollaborator("two", "ann", platform.RoleOperator) })
	refused("a port too many", p.ports(eve, "two", 1), "eve")
	refused("one that somebody else adds", p.ports(ann, "two", 1), "eve")
	refused("an app that is given to who has enough", p.Transfer(t.Context(), eve, "one", "bob"), "bob")
	if err := errors.Join(p.RemovePort(t.Context(), eve, "one", 30000), p.ports(eve, "two", 1)); err != nil {
		t.Errorf("after one was removed: %v", err)
	}
	if err := p.Transfer(t.Context(), eve, "two", "ann"); err != nil {
		t.Errorf("to who has room: %v", err)
	}
	if err := errors.Join(p.ports(root, "blog", 1), p.ports(root, "edge", 5)); err != nil {
		t.Errorf("an administrator gave, and took: %v", err)
	}
}
