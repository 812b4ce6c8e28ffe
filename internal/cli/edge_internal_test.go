package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// TestWhatIsShownOfAnEdgeCanBeTyped sets each row of a whole edge on an empty
// one and gets the same.
func TestWhatIsShownOfAnEdgeCanBeTyped(t *testing.T) {
	const text = `{"timeouts":{"connect":"2s","answer":"30s","idle":"1h","tcp":"12h","drain":"1m","upgraded":"5m"},"max_body":"10M",
		"compress":["zstd","br"],"hsts":{"max_age":"1y","subdomains":true,"preload":true},
		"redirects":[{"path":"/old","to":"/new"},{"host":"www.example.com","path":"/a","to":"https://example.com{path}?{query}","status":302},{"to":"https://b","host":"*.a.b"},
			{"path":"= /exact","to":"/x"},{"path":"~ ^/u/[0-9]+","to":"/y","status":301},{"to":"https://example.com"}],
		"matches":[{"if":[{"header":"X-Beta","value":"*"},{"cookie":"beta","value":"1=2"}],"process":"canary"},{"if":[{"header":"A","value":"b: c"}],"process":"web"}],
		"deny":["10.0.0.0/8","192.0.2.7/32"],"headers":{"X-Frame-Options":"DENY","Cache-Control":"max-age=3, x","Server":""},
		"request_start":true,"traces":true,"protocol":"h2c","proxy":2,
		"balance":{"sticky":"cookie","slow_start":"30s","retries":0,"retry_budget":20,"hedge":"200ms","max_concurrent":50},
		"rates":[{"by":"client","per_second":10,"burst":20,"path":"/login"},{"by":"header:X-Key","per_second":0.5,"concurrent":4},{"by":"cookie:a","per_second":0.123456789},{"by":"app","concurrent":7}],
		"overload":{"mode":"observe","limit":8,"target":"20ms","user":"cookie:s","classes":[{"class":"critical","method":"POST","path":"/pay"},
			{"class":"bulk","path":"= /x","header":"X-B","value":"* a"},{"class":"background","process":"worker"}]},
		"log":{"sample":105},"tls":"modern"}`
	var want api.Edge
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	change := &edgeChange{patch: map[string]any{}}
	for _, row := range edgeRows(want) {
		for _, args := range [][]string{{row[0] + "=" + row[1]}, {row[0], row[1]}} {
			words, err := edgeAssignments(args)
			if err != nil || len(words) != 1 {
				t.Fatalf("%q: %v", args, err)
			}
			if err := words[0].word.set(change, words[0].value); err != nil {
				t.Fatalf("%q: %v", args, err)
			}
		}
	}
	typed, err := json.Marshal(change.patch)
	if err != nil {
		t.Fatal(err)
	}
	var got api.Edge
	if err := json.Unmarshal(typed, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := platform.ParseEdge(typed); err != nil {
		t.Errorf("the platform refuses it: %v", err)
	}
}

func TestAnItemTakesThePlaceOfTheOneThatBeginsLikeIt(t *testing.T) {
	now := api.Edge{
		Redirects: []api.EdgeRedirect{{Path: "/a", To: "/1"}, {Path: "/b", To: "/2"}}, Deny: []string{"10.0.0.0/8", "192.0.2.7/32"},
		Rates: []api.EdgeRate{{By: "client", PerSecond: 1, Path: "/x"}},
	}
	sets := func(args ...string) map[string]any {
		t.Helper()
		change := &edgeChange{now: now, patch: map[string]any{}}
		words, err := edgeAssignments(args)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if err := w.word.set(change, w.value); err != nil {
				t.Fatal(err)
			}
		}
		return change.patch
	}
	want := []api.EdgeRedirect{{Path: "/a", To: "/9", Status: 301}, {Path: "/b", To: "/2"}, {Path: "/c", To: "/3"}}
	if diff := cmp.Diff(want, sets("redirect=/a -> /9 301", "redirect", "/c => /3")["redirects"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.EdgeRate{{By: "client", PerSecond: 100.0 / 60, Burst: 5, Path: "/x"}}, sets("rate=100/m burst 5 on /x")["rates"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.7/32", "::1"}, sets("deny=::1,10.0.0.0/8")["deny"]); diff != "" {
		t.Error(diff)
	}
	if now.Redirects[0].To != "/1" {
		t.Error("what was there changed")
	}
	unsets := func(arg string) (map[string]any, error) {
		change := &edgeChange{now: now, patch: map[string]any{}}
		words, err := edgeRemovals([]string{arg})
		if err != nil {
			t.Fatal(err)
		}
		return change.patch, words[0].word.unset(change, words[0].value)
	}
	for arg, want := range map[string]any{
		"redirect=/a": []api.EdgeRedirect{{Path: "/b", To: "/2"}}, "redirect=/a -> /1": []api.EdgeRedirect{{Path: "/b", To: "/2"}}, "redirect": nil,
		"deny=192.0.2.7": []string{"10.0.0.0/8"}, "deny": nil, "rate=client on /x": nil, "rate=client": nil, "rate=client 1/s on /x": nil,
	} {
		word, _, _ := strings.Cut(arg, "=")
		patch, err := unsets(arg)
		if diff := cmp.Diff(want, patch[map[string]string{"redirect": "redirects", "deny": "deny", "rate": "rates"}[word]]); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", arg, err, diff)
		}
	}
	for _, arg := range []string{"redirect=/z", "deny=10.0.0.1", "header=X-A", "timeout=30s", "page=404"} {
		if patch, err := unsets(arg); err == nil {
			t.Errorf("%s is taken away: %v", arg, patch)
		}
	}
}

func TestWhatCannotBeReadIsRefusedWithAForm(t *testing.T) {
	for _, text := range []string{
		"retries=two", "request-start=maybe", "compress=", "timeout=", "hsts=1y,forever", "redirect=/a", "redirect=-> /b", "redirect=/a -> /b x", "redirect=/a -> /b 301 2",
		"match=beta", "match=X-Beta -> canary", "match=cookie beta -> canary", "rate=", "rate=client 10", "rate=client 10/y", "rate=client burst x", "rate=client ten/s",
		"class=", "class=critical post", "class=bulk header X-B", "header=X-Frame-Options", "header=X: ", "log=some", "log=101%", "client-certs=maybe", "page=404", "proxy=two",
	} {
		words, err := edgeAssignments([]string{text})
		if err == nil {
			change := &edgeChange{patch: map[string]any{}}
			err = words[0].word.set(change, words[0].value)
		}
		if err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, args := range [][]string{{"timeout"}, {"time=30s"}, {"=x"}, {"nonsense=1"}} {
		if _, err := edgeAssignments(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
