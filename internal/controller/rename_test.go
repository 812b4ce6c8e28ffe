package controller_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
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
