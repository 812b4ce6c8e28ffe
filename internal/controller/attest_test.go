package controller_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/sbom"
)

func TestWhoeverAsksRightAfterAPushIsToldHowItWasBuilt(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	pushed := make(chan struct{})
	behind := httputil.NewSingleHostReverseProxy(must(url.Parse("http://" + p.registry))(t))
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // what a deploy does not wait for comes after it
		case <-pushed:
		case <-time.After(30 * time.Second): // no client of a registry waits for ever
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	p.sbom = must(sbom.New(quiet, sbom.Options{Dir: filepath.Join(p.dir, "sbom"), RegistryAddr: strings.TrimPrefix(slow.URL, "http://")}))(t)
	p.Close()
	p.start()
	ann := p.user("ann")
	p.app(ann, "blog")
	if err := p.push(ann, "blog", "1234567890", map[string]string{"web": hello}); err != nil {
		t.Fatal(err)
	}
	close(pushed)
	text, err := p.Provenance(t.Context(), ann, "blog", 2)
	if err != nil || !strings.Contains(string(text), "1234567890") {
		t.Errorf("%.300s, %v", text, err)
	}
}
