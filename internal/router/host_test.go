package router_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

func TestARequestReachesTheAppItsHostNames(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	shop := route("shop", 1, backend(t, says("shop")))
	shop.Hosts = []string{"shop.test", "*.shop.test", "www.example.com"}
	e.SetRoute("shop", shop)
	for host, want := range map[string]string{
		"blog.test": "blog", "BLOG.test": "blog", "blog.test:8080": "blog", "blog.test.": "blog",
		"shop.test": "shop", "a.shop.test": "shop", "a.b.shop.test": "shop", "www.example.com": "shop",
	} {
		e.get(host).want(t, 200, want)
	}
	for _, host := range []string{"nobody.test", "example.com", "xshop.test", "test", "127.0.0.1"} {
		e.get(host).want(t, 404, "No app answers to the name "+host)
	}
}

func TestAHostThatOthersMayReadInAnotherWayIsNone(t *testing.T) {
	e := serve(t, router.Options{})
	any := route("any", 1, backend(t, says("any")))
	any.Hosts = []string{"*"}
	e.SetRoute("any", any)
	for _, host := range []string{
		"blog.test:80x", "blog.test:.evil.test", "blog.test:+80", "blog.test:65536", "blog.test:80:80", "a:b:c",
		"[::1", "::1]", "[::1]80", "[::1]:x", "[blog.test]", "[fe80::1%25lo]",
	} {
		if got := e.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s got %.40q", host, got)
		}
	}
	for _, host := range []string{"blog.test:", "blog.test:080", "[::1]", "[::1]:", "[2001:DB8::1]:65535", "::1"} {
		e.get(host).want(t, 200, "any")
	}
}

func TestTheMostSpecificHostWins(t *testing.T) {
	e := serve(t, router.Options{})
	for app, host := range map[string]string{"wide": "*.test", "narrow": "*.a.test", "exact": "b.a.test"} {
		rt := route(app, 1, backend(t, says(app)))
		rt.Hosts = []string{host}
		e.SetRoute(app, rt)
	}
	e.get("b.a.test").want(t, 200, "exact")
	e.get("c.a.test").want(t, 200, "narrow")
	e.get("a.test").want(t, 200, "wide")
	e.SetRoute("narrow", nil)
	e.get("c.a.test").want(t, 200, "wide")
	e.SetRoute("wide", nil)
	e.get("c.a.test").want(t, 404, "No app")
}

func TestARemovedAppIsUnknown(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	e.get("blog.test").want(t, 200, "blog")
	e.SetRoute("blog", nil)
	e.SetRoute("blog", nil)
	e.get("blog.test").want(t, 404, "blog.test")
}

func TestAHostIsWithTheAppThatCameToNameItLast(t *testing.T) {
	e := serve(t, router.Options{})
	one, two := route("one", 1, backend(t, says("one"))), route("two", 1, backend(t, says("two")))
	one.Hosts, two.Hosts = []string{"www.test", "*.www.test"}, []string{"www.test", "*.www.test"}
	want := func(app string) {
		t.Helper()
		e.get("www.test").want(t, 200, app)
		e.get("a.www.test").want(t, 200, app)
	}
	e.SetRoute("one", one)
	e.SetRoute("two", two)
	want("two")
	e.SetRoute("one", one) // told again, as when it is scaled
	want("two")
	e.SetRoute("two", nil) // the earlier serves again
	want("one")
	e.SetRoute("two", two)
	e.SetRoute("one", nil) // not taken from the later
	want("two")
	e.SetRoute("one", one)
	want("one")
	one.Hosts = nil
	e.SetRoute("one", one)
	want("two")
	one.Hosts = two.Hosts
	e.SetAll(platform.EdgeState{}, []platform.Route{*one, *two}) // who had it before waits, in whatever order
	want("one")
	e.SetAll(platform.EdgeState{}, []platform.Route{*two})
	want("two")
}

func TestNoRequestFailsWhileAnAppIsRenamed(t *testing.T) {
	e := serve(t, router.Options{})
	address := backend(t, says("ok"))
	named := func(n int) *platform.Route {
		rt := route(fmt.Sprintf("blog-%d", n), 1, address)
		rt.Hosts = []string{"blog.test", "*.blog.test"}
		return rt
	}
	e.SetRoute("blog-0", named(0))
	stop := make(chan struct{})
	var load sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, host := range []string{"blog.test", "a.blog.test"} {
					if w := e.from("127.0.0.1", "GET", "http://"+host+"/"); w.Code != 200 {
						t.Errorf("%s: got %d %s", host, w.Code, w.Body)
						return
					}
					served.Add(1)
				}
			}
		})
	}
	for n := 1; n < 2000 || served.Load() < 1000 && !t.Failed(); n++ {
		if n%5 == 0 {
			e.SetAll(platform.EdgeState{}, []platform.Route{*named(n)})
			continue
		}
		e.SetRoute(fmt.Sprintf("blog-%d", n), named(n))
		e.SetRoute(fmt.Sprintf("blog-%d", n-1), nil)
	}
	close(stop)
	load.Wait()
}

func TestAHostThatNobodyHasGoesToTheAppThatTakesAny(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	lobby := route("lobby", 1, backend(t, says("lobby")))
	lobby.Hosts = []string{"lobby.test", "*"}
	e.SetRoute("lobby", lobby)
	for host, want := range map[string]string{"blog.test": "blog", "lobby.test": "lobby", "nobody.test": "lobby", "a.b.c": "lobby", "127.0.0.1": "lobby"} {
		e.get(host).want(t, 200, want)
	}
	lobby.Hosts = lobby.Hosts[:1]
	e.SetRoute("lobby", lobby)
	e.get("nobody.test").want(t, 404, "No app answers to the name nobody.test")
	e.get("lobby.test").want(t, 200, "lobby")
}
