package fleet

import (
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// What a router says to the others goes to them with the answers that their
// nodes wait for anyhow. It is gathered for a moment, so that many routers that
// say something wake the others a few times a second and no more. None of it is
// kept: what is older than platform.NewsHold is not told.

// gathering is how long news wait for others.
const gathering = 100 * time.Millisecond

// hearsay is what a node's router said last; guarded by Fleet.mu.
type hearsay struct {
	news platform.RouterNews
	said time.Time
	at   int64 // 0: never; more than Fleet.newsAt: not yet to be heard
}

// takeNews takes what a node's router says; f.mu is held.
func (f *Fleet) takeNews(n *node, news *platform.RouterNews) {
	if news == nil {
		return
	}
	if f.newsAt == 0 {
		f.newsAt = time.Now().UnixNano() // above those of a control plane before
	}
	n.hearsay = hearsay{news.Bounded(), time.Now(), f.newsAt + 1}
	if f.gathers {
		return
	}
	f.gathers = true
	time.AfterFunc(gathering, func() {
		f.mu.Lock()
		f.newsAt, f.gathers = f.newsAt+1, false
		f.mu.Unlock()
		f.wished.ring()
	})
}

// tellNews puts what the others' routers say into a node's answer, if one of them
// said something since at; f.mu is held.
func (f *Fleet) tellNews(state *platform.NodeState, to *node, at int64) (fresh bool) {
	if at > f.newsAt {
		at = 0
	}
	all := map[string]platform.RouterNews{}
	for _, n := range f.nodes {
		said := n.hearsay
		if n == to || said.at == 0 || time.Since(said.said) > platform.NewsHold {
			continue
		}
		fresh = fresh || said.at > at && said.at <= f.newsAt
		if !said.news.Empty() {
			all[n.id] = said.news
		}
	}
	if fresh {
		state.News, state.NewsAt = all, f.newsAt
	}
	return fresh
}
