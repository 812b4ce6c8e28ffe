package controller_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestARenamedAppDropsNoRequest(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.user("ann")
	p.app(ann, "blog")
	if _, err := p.AddDomain(t.Context(), ann, "blog", "www.example.com"); err != nil {
		t.Fatal(err)
	}
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": hello}); err != nil {
		t.Fatal(err)
	}
	end := p.load("www.example.com")
	app, err := p.Rename(t.Context(), ann, "blog", "journal")
	sent, failed := end()
	if err != nil || app.ID != "journal" || app.RenamedFrom != "" {
		t.Fatalf("renamed: %+v, %v", app, err)
	}
	if len(failed) > 0 || sent == 0 {
		t.Errorf("%d of %d requests failed, first %s", len(failed), sent, failed[0])
	}
	for host, want := range map[string]string{"www.example.com": "journal v2", "journal.localhost": "journal v2"} {
		if status, body, err := p.get(host); status != 200 || body != want || err != nil {
			t.Errorf("%s: %d %q %v", host, status, body, err)
		}
	}
	if status, _, _ := p.get("blog.localhost"); status != 404 {
		t.Errorf("the old host answers %d", status)
	}
	if _, err := p.App(t.Context(), ann, "blog"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("the old id: %v", err)
	}
	if text := p.logged("journal"); !strings.Contains(text, "ann deployed 1234567") || !strings.Contains(text, "ann renamed blog to journal") {
		t.Errorf("the log is\n%s", text)
	}
	if err := p.push(ann, "journal", "2234567890", map[string]string{"web": hello}); err != nil {
		t.Errorf("the next push: %v", err)
	}
}

// picky is hello, but for an app of any other name, which it refuses to be.
const picky = `test "$DEIS_APP" = blog || exit 3; ` + hello

func TestAnAppThatDoesNotComeUpUnderItsNewIDKeepsTheOld(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.user("ann")
	p.app(ann, "blog")
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": picky}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddDomain(t.Context(), ann, "blog", "www.example.com"); err != nil {
		t.Fatal(err)
	}
	end := p.load("www.example.com")
	_, err := p.Rename(t.Context(), ann, "blog", "journal")
	sent, failed := end()
	if !errors.Is(err, platform.ErrUnavailable) || len(failed) > 0 || sent == 0 {
		// An instance that ended meanwhile has said so.
		t.Errorf("%v; %d of %d requests failed: %.90q; the log is\n%s", err, len(failed), sent, failed, p.logged("blog"))
	}
	if status, body, err := p.get("blog.localhost"); status != 200 || body != "blog v2" {
		t.Errorf("blog.localhost: %d %q %v", status, body, err)
	}
	if text := p.logged("blog"); !strings.Contains(text, "ann deployed 1234567") || !strings.Contains(text, "did not come up as journal and keeps its name") {
		t.Errorf("the log is\n%s", text)
	}
	p.awaitGone("journal")
	p.app(ann, "journal") // nothing is left of that id
}

// awaitGone blocks until no app, and nothing of a former one, has the id, nor
// stands it in for an app that is renamed.
func (p *place) awaitGone(app string) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.fleet.Route(app) != nil || len(p.fleet.Instances(app)) > 0 || slices.Contains(p.fleet.Apps(), app) || p.Destroying(app) || p.standsIn(app) {
		<-tick.C
	}
}

func (p *place) standsIn(app string) bool {
	return p.store.Read(p.t.Context(), func(tx *store.Tx) error { _, err := tx.AppRenamedFrom(app); return err }) == nil
}

// lingering is hello, but for its end, for which it takes its time.
var lingering = strings.Replace(hello, "exit 0", "sleep 3;exit 0", 1)

func TestAnIDIsFreeForWhoeverTakesItAtOnce(t *testing.T) {
	for name, leave := range map[string]func(*place, platform.Caller) error{
		"after a rename": func(p *place, ann platform.Caller) error {
			_, err := p.Rename(p.t.Context(), ann, "blog", "journal")
			return err
		},
		"while its app is destroyed": func(p *place, ann platform.Caller) error {
			going, gone := context.WithCancel(p.t.Context())
			changes := p.fleet.Changes(going)
			done := make(chan error, 1)
			go func() {
				done <- p.DestroyApp(context.Background(), ann, "blog")
				gone() // before anybody saw it go, on a busy machine
			}()
			p.t.Cleanup(func() {
				if err := <-done; err != nil {
					p.t.Error(err)
				}
			})
			for range changes {
				if p.Destroying("blog") {
					return nil
				}
			}
			return nil
		},
		"when the control plane died meanwhile": func(p *place, _ platform.Caller) error {
			p.Close()
			p.write(func(tx *store.Tx) error { return tx.DeleteApp("blog") })
			p.start()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, controller.Options{}).withNode()
			ann := p.user("ann")
			p.app(ann, "blog")
			if err := p.push(ann, "blog", "1234567890", map[string]string{"web": lingering}); err != nil {
				t.Fatal(err)
			}
			if err := leave(p, ann); err != nil {
				t.Fatal(err)
			}
			p.app(ann, "blog")
			if left := p.fleet.Instances("blog"); len(left) > 0 {
				t.Errorf("of the app before is left: %+v", left)
			}
			if text := p.logged("blog"); strings.Contains(text, "deployed 1234567") {
				t.Errorf("the new app has the log of the one before:\n%s", text)
			}
		})
	}
}

func TestAnIDThatAnAppGetsAfterItsLaneSawItFreeIsNotSwept(t *testing.T) {
	p := open(t, controller.Options{Destroyed: func(app string) { t.Errorf("%s was taken for destroyed", app) }}).withNode()
	ann := p.user("ann")
	var before []platform.InstanceSpec
	err := p.Reconcile(t.Context(), "blog", func() {
		p.app(ann, "blog")
		if err := p.push(ann, "blog", "1234567890", map[string]string{"web": hello}); err != nil {
			t.Fatal(err)
		}
		before, _ = p.fleet.Wanted("blog")
	})
	after, _ := p.fleet.Wanted("blog")
	if err != nil || len(before) != 1 || len(after) != 1 || after[0].ID != before[0].ID || p.Destroying("blog") {
		t.Errorf("%v; it ran %+v and runs %+v", err, before, after)
	}
	if status, body, err := p.get("blog.localhost"); status != 200 || err != nil {
		t.Errorf("it answers %d %q %v", status, body, err)
	}
}

func TestARenameIsRefusedWhereTheIDIsTakenOrBeingLeft(t *testing.T) {
	p := open(t, controller.Options{Reserved: []string{"grafana"}})
	ann := p.user("ann")
	p.app(ann, "blog")
	p.app(ann, "shop")
	if _, err := p.AddDomain(t.Context(), ann, "shop", "www"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"shop", "www", "grafana", "No", ""} {
		_, err := p.Rename(t.Context(), ann, "blog", id)
		var field *platform.FieldError
		if !errors.As(err, &field) || field.Field != "id" {
			t.Errorf("to %q: %v", id, err)
		}
	}
	if app, err := p.Rename(t.Context(), ann, "blog", "blog"); err != nil || app.ID != "blog" {
		t.Errorf("to its own id: %v", err)
	}
	p.write(func(tx *store.Tx) error { return tx.SetRenamedFrom("shop", "market") })
	if _, err := p.CreateApp(t.Context(), ann, "market"); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("an app got the id that another is leaving: %v", err)
	}
	if _, err := p.SetConfig(t.Context(), ann, "shop", set("A", "1")); !errors.Is(err, platform.ErrBusy) {
		t.Errorf("a release during a rename: %v", err)
	}
	if _, err := p.Rename(t.Context(), ann, "shop", "mall"); !errors.Is(err, platform.ErrBusy) {
		t.Errorf("a rename during a rename: %v", err)
	}
}

func TestARenameGoesOnWhereverTheControlPlaneWasKilled(t *testing.T) {
	slow := map[string]string{"web": "sleep 1; " + hello}
	for name, begin := range map[string]func(*place, platform.Caller){
		"the rows are written": func(p *place, _ platform.Caller) {
			p.Close()
			p.write(func(tx *store.Tx) error { return tx.RenameApp("blog", "journal") })
		},
		"files have moved": func(p *place, ann platform.Caller) {
			p.Close()
			told := make(chan struct{}, 1)
			p.options.Renamed = func(string, string) error {
				select {
				case told <- struct{}{}:
				default:
				}
				return errors.New("the disk is full")
			}
			p.start()
			go func() { _, _ = p.Rename(context.Background(), ann, "blog", "journal") }()
			<-told
			p.Close()
			p.options.Renamed = nil
		},
		"the new instances start": func(p *place, ann platform.Caller) {
			changes := p.fleet.Changes(p.t.Context())
			go func() { _, _ = p.Rename(context.Background(), ann, "blog", "journal") }()
			for range changes {
				if len(p.fleet.Instances("journal")) > 0 {
					break
				}
			}
			p.Close()
		},
		"all is done but the note": func(p *place, ann platform.Caller) {
			if _, err := p.Rename(p.t.Context(), ann, "blog", "journal"); err != nil {
				p.t.Error(err)
			}
			p.Close()
			p.write(func(tx *store.Tx) error { return tx.SetRenamedFrom("journal", "blog") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, controller.Options{}).withNode()
			ann := p.user("ann")
			p.app(ann, "blog")
			if err := p.push(ann, "blog", "1234567890", slow); err != nil {
				t.Fatal(err)
			}
			if _, err := p.AddDomain(t.Context(), ann, "blog", "www.example.com"); err != nil {
				t.Fatal(err)
			}
			end := p.load("www.example.com")
			begin(p, ann)
			p.start()
			p.awaitGone("blog")
			sent, failed := end()
			if len(failed) > 0 || sent == 0 {
				t.Errorf("%d of %d requests failed: %.1q", len(failed), sent, failed)
			}
			if status, body, err := p.get("www.example.com"); status != 200 || body != "journal v2" {
				t.Errorf("served is %d %q, %v", status, body, err)
			}
			if app, err := p.App(t.Context(), ann, "journal"); err != nil || app.RenamedFrom != "" {
				t.Errorf("%+v, %v", app, err)
			}
			if text := p.logged("journal"); strings.Count(text, "ann deployed 1234567") != 1 {
				t.Errorf("the log is\n%s", text)
			}
		})
	}
}

func TestDuringARenameTheOldInstancesAnswerToTheNewName(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.user("ann")
	p.app(ann, "blog")
	gate := must(net.Listen("tcp", "127.0.0.1:0"))(t) // who connects waits until it is closed
	_, port, _ := net.SplitHostPort(gate.Addr().String())
	waits := `test "$DEIS_APP" = blog || cat </dev/tcp/127.0.0.1/` + port + `; `
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": waits + hello}); err != nil {
		t.Fatal(err)
	}
	changes := p.fleet.Changes(t.Context())
	done := make(chan error, 1)
	go func() { _, err := p.Rename(context.Background(), ann, "blog", "journal"); done <- err }()
	for range changes {
		if len(p.fleet.Instances("journal")) > 0 {
			break
		}
	}
	if status, body, err := p.get("journal.localhost"); status != 200 || body != "blog v2" {
		t.Errorf("the new name: %d %q %v", status, body, err)
	}
	if status, _, _ := p.get("blog.localhost"); status != 404 {
		t.Errorf("the old name: %d", status)
	}
	_ = gate.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
