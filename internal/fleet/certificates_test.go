package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func chains(names ...string) map[string]*platform.EdgeCertificate {
	all := make(map[string]*platform.EdgeCertificate)
	for _, name := range names {
		all[name] = &platform.EdgeCertificate{Hosts: []string{name + ".test"}, Certificate: "chain", Key: "key"}
	}
	return all
}

func (d *desk) certify(all map[string]*platform.EdgeCertificate) int64 {
	d.Helper()
	version, err := d.SetCertificates(all)
	if err != nil {
		d.Fatal(err)
	}
	return version
}

func certificateNames(list []platform.EdgeCertificate) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// Two who state what there shall be, one after the other: the second changes
// nothing, and waits for what the first took away all the same.
func TestWhoSetsWhatIsSetWaitsForWhatOthersTookAway(t *testing.T) {
	d := newDesk(t)
	d.certify(chains("stays", "goes"))
	gone := d.certify(map[string]*platform.EdgeCertificate{"goes": nil})
	if again := d.certify(chains("stays")); again < gone {
		t.Errorf("its version is %d, before that of what was taken away, %d", again, gone)
	}
}

func TestANodeHearsOfTheCertificatesThatChangedAlone(t *testing.T) {
	d := newDesk(t)
	var many []string
	for n := range 500 {
		many = append(many, fmt.Sprintf("c%03d", n))
	}
	first := d.certify(chains(many...))
	n, away := &node{desk: d, id: "one"}, &node{desk: d, id: "two"}
	if got := n.news(); len(got.Certificates) != 500 || got.Version != first {
		t.Fatalf("at first it hears of %d", len(got.Certificates))
	}
	away.news()
	if again := d.certify(chains(many...)); again != first || n.news() != nil {
		t.Errorf("the same once more has version %d, not %d", again, first)
	}
	change := chains("new", "c007")
	change["c007"].Key, change["c008"] = "another", nil
	d.certify(change)
	if got := n.news(); !slices.Equal(certificateNames(got.Certificates), []string{"c007", "new"}) || !slices.Equal(got.CertificatesGone, []string{"c008"}) || got.Edge != nil || got.Full {
		t.Errorf("it hears of %v, gone %v", certificateNames(got.Certificates), got.CertificatesGone)
	}
	d.certify(map[string]*platform.EdgeCertificate{"new": nil, "c009": nil})
	d.Close()
	d = open(t, d.dir)
	defer d.Close()
	away.desk = d
	if got := away.news(); !slices.Equal(certificateNames(got.Certificates), []string{"c007"}) || !slices.Equal(slices.Sorted(slices.Values(got.CertificatesGone)), []string{"c008", "c009", "new"}) {
		t.Errorf("one that was away hears of %v, gone %v", certificateNames(got.Certificates), got.CertificatesGone)
	}
	if got := (&node{desk: d, id: "three"}).news(); len(got.Certificates) != 498 || len(got.CertificatesGone) > 0 {
		t.Errorf("a new one hears of %d, gone %v", len(got.Certificates), got.CertificatesGone)
	}
}

func TestANodeThatKnowsOfListsAloneGetsTheWholeInTheOrderThatItServesThem(t *testing.T) {
	d := newDesk(t)
	if _, err := d.SetEdge(platform.EdgeState{Domain: "test"}); err != nil {
		t.Fatal(err)
	}
	all := chains("upload/a", "platform/0", "acme/b")
	all["upload/a"].Rank, all["acme/b"].Rank = platform.RankUploaded, platform.RankAutomatic
	all["proof"] = &platform.EdgeCertificate{Hosts: []string{"b.test"}, Challenge: &platform.EdgeChallenge{Token: "t", Answer: "a"}}
	d.certify(all)
	ask := func(since int64) platform.NodeState {
		ctx, leave := context.WithCancel(t.Context())
		leave() // see news
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/node/v1/state?node=old&since=%d", since), nil)
		request.Header.Set("Slipway-Epoch", epochOf(d))
		answer := httptest.NewRecorder()
		d.handler.ServeHTTP(answer, request)
		var state platform.NodeState
		if err := json.Unmarshal(answer.Body.Bytes(), &state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	state := ask(0)
	d.certify(map[string]*platform.EdgeCertificate{"acme/b": nil})
	next := ask(state.Version)
	var order, after []string
	for _, c := range state.Edge.Certificates {
		order = append(order, c.Name)
	}
	for _, c := range next.Edge.Certificates {
		after = append(after, c.Name)
	}
	if !slices.Equal(order, []string{"platform/0", "acme/b", "upload/a"}) || !slices.Equal(after, []string{"platform/0", "upload/a"}) || next.Edge.Domain != "test" {
		t.Errorf("it hears of %v, then of %v", order, after)
	}
}

func epochOf(d *desk) string {
	answer := httptest.NewRecorder()
	d.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/node/v1/cursors", nil))
	return answer.Header().Get("Slipway-Epoch")
}

func TestAStapleStaysWithTheChainThatItIsFor(t *testing.T) {
	d := newDesk(t)
	defer d.Close()
	told := map[string]string{}
	d.certify(chains("blog"))
	chain := chains("blog")["blog"].Certificate
	d.OnCertificates(func(name, chain string, word []byte) { told[name] = chain + "/" + string(word) })
	n := &node{desk: d, id: "one"}
	n.news()
	staple := func(chain string) *platform.NodeState {
		t.Helper()
		if err := d.Staple("blog", chain, []byte("good")); err != nil {
			t.Fatal(err)
		}
		return n.news()
	}
	if got := staple("another"); got != nil {
		t.Errorf("another chain's word was taken: %+v", got)
	}
	if got := staple(chain); len(got.Certificates) != 1 || string(got.Certificates[0].OCSP) != "good" || told["blog"] != chain+"/good" {
		t.Errorf("it was not told of: %+v, %v", got, told)
	}
	d.certify(chains("blog")) // as at each start, by who knows nothing of staples
	if got := n.news(); got != nil {
		t.Errorf("saying the same again changed something: %+v", got)
	}
	next := chains("blog")
	next["blog"].Certificate = "renewed"
	d.certify(next)
	if got := n.news(); len(got.Certificates) != 1 || got.Certificates[0].OCSP != nil || told["blog"] != "renewed/" {
		t.Errorf("the old one's word stays with the new one: %+v, %v", got, told)
	}
	d.certify(map[string]*platform.EdgeCertificate{"blog": nil})
	if told["blog"] != "/" || staple("renewed").Certificates != nil {
		t.Errorf("it is gone: %v", told)
	}
}
