package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The pace of asking for a control plane that is away.
const (
	firstRetry   = 25 * time.Millisecond
	longestRetry = 2 * time.Second
)

// puller keeps this machine's state as the control plane wants it.
type puller struct {
	log      *slog.Logger
	link     *link
	socket   string // the control plane's; watched for coming back
	file     *stateFile
	router   edge
	super    *supervisor
	reports  *reporter
	logs     *shipper
	registry func(platform.EdgeState) // told of every edge before anything is started with it
	run      func(platform.RunOrder)
	routed   func()          // told when routes may have changed
	led      <-chan struct{} // a token: the router has led an app's requests back
	cutovers func() []platform.CutoverReport
	heard    func(map[string]platform.RouterNews) // what other routers say
	reseal   func()                               // what others keep, under a newer key

	why string // it was not reached last

	changing sync.Mutex // held while the state is changed and written

	mu        sync.Mutex
	have      state
	connected bool
	refused   string // why the whole of its state was last
}

func (p *puller) look() (have state, connected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have, p.connected
}

func (p *puller) setConnected(yes bool) {
	p.mu.Lock()
	was := p.connected
	p.connected = yes
	p.mu.Unlock()
	switch {
	case yes && !was:
		p.log.Info("control plane was reached")
	case was && !yes:
		p.log.Info("control plane went away")
	}
}

// pull asks for news until ctx ends. While the control plane is away, it
// tries again after growing pauses, and at once when its socket appears.
func (p *puller) pull(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if p.attend(ctx) {
			n = 0
		}
		p.followKeys()
		p.setConnected(false)
		pause := min(firstRetry<<min(n, 10), longestRetry)
		if awaitSocket(ctx, p.socket, pause/2+rand.N(pause/2)) {
			n = -1 // it was made, and is listened to in a moment
		}
	}
}

// attend talks to the control plane for as long as it answers, and reports
// whether it did.
func (p *puller) attend(ctx context.Context) (answered bool) {
	if err := p.reports.send(ctx, true); err != nil {
		p.note(err)
		return false
	}
	p.setConnected(true)
	nudge(p.logs.kick)
	nudge(p.reports.shifted) // one may have begun before this process
	have, _ := p.look()
	if have.Version > 0 {
		// Nothing newer than this was ever begun here, so what is not in it may go.
		p.super.want(have.specs())
	}
	newsAt := int64(0)
	for {
		news, epoch, err := p.link.poll(ctx, have.Version, newsAt)
		if errors.Is(err, errUnreadable) {
			p.refuse(ctx, have, err)
			continue
		}
		if err != nil {
			if ctx.Err() == nil {
				p.log.Debug("control plane went away", "err", err)
			}
			return true
		}
		p.followKeys()
		if news == nil {
			continue
		}
		if news.NewsAt != 0 {
			newsAt = news.NewsAt
			p.heard(news.News)
		}
		if news.Version != have.Version || news.Full {
			err = p.take(have, *news, epoch)
			have, _ = p.look()
		}
		for _, order := range news.Runs { // once there is what they need
			p.run(order)
		}
		if err != nil {
			p.refuse(ctx, have, err)
		}
	}
}

// take makes news so, but for what of it is refused; an error says why it is the
// whole.
func (p *puller) take(have state, news told, epoch string) error {
	good, refused, err := have.sift(news)
	if err == nil {
		p.apply(good, refused, epoch)
	}
	return err
}

// followKeys seals what is kept anew when there is a newer key.
func (p *puller) followKeys() {
	p.changing.Lock()
	defer p.changing.Unlock()
	if have, _ := p.look(); p.file.followKeys(have) {
		p.reseal()
	}
}

// note logs why the control plane is not reached, once per reason. That it is
// not there is told when it goes, and is nothing to worry about.
func (p *puller) note(err error) {
	if text := err.Error(); text != p.why && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, context.Canceled) {
		p.why = text
		p.log.Warn("control plane does not take reports", "err", err)
	}
}

// apply makes what is good of news so: kept on the disk first, so that nothing runs that a
// restarted node would not know; then the routes, so that whoever leaves is
// no longer led to; then the instances.
func (p *puller) apply(news platform.NodeState, refused map[string]platform.Refusal, epoch string) {
	p.changing.Lock()
	defer p.changing.Unlock()
	old, _ := p.look()
	next, changed := old.merge(news, epoch)
	next.Refused = old.refusedAfter(news, changed, refused)
	p.keep(p.file.save(old, next, news))
	if news.Full {
		p.reports.problem("keys", "")
	}
	p.mu.Lock()
	p.have, p.refused = next, ""
	p.mu.Unlock()
	p.tellRefused(old, next)
	p.link.epoch.Store(&epoch)
	if changed, gone := certificateNews(old, next, news); len(changed)+len(gone) > 0 {
		p.router.SetCertificates(changed, gone)
	}
	if news.Edge != nil {
		p.registry(next.Edge)
		p.router.SetEdge(next.Edge)
	}
	for _, id := range changed {
		before, after := old.Apps[id].Route, next.Apps[id].Route
		p.router.SetRoute(id, after)
		if after != nil && after.Cutover != 0 && (before == nil || before.Cutover != after.Cutover || after.Shift != nil) {
			nudge(p.reports.shifted)
		}
	}
	p.routed()
	p.super.want(next.specs())
	p.reports.ack(next.Version, next.refusedApps())
}

// keep tells whether the state could be written.
func (p *puller) keep(err error) {
	if err != nil {
		p.log.Error("state could not be kept, the last one stays on the disk", "err", err)
		p.reports.problem("state", "the node cannot keep its state, after a power cut it would serve an older one: "+err.Error())
		return
	}
	p.reports.problem("state", "")
}

// specs are the instances of all apps.
func (s state) specs() []platform.InstanceSpec {
	var specs []platform.InstanceSpec
	for _, app := range s.Apps {
		specs = append(specs, app.Instances...)
	}
	return specs
}

func (s state) routes() []platform.Route {
	var routes []platform.Route
	for _, app := range s.Apps {
		if app.Route != nil {
			routes = append(routes, *app.Route)
		}
	}
	return routes
}

// awaitSocket waits for as long, or until a file of that name is made, which
// it reports. The folder is watched only meanwhile: others write there too.
func awaitSocket(ctx context.Context, socket string, pause time.Duration) (made bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var events chan fsnotify.Event
	if watcher, err := fsnotify.NewWatcher(); err == nil {
		defer watcher.Close()
		if watcher.Add(filepath.Dir(socket)) == nil {
			events = watcher.Events
		}
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return false
		case event, open := <-events:
			if !open {
				events = nil
			} else if event.Has(fsnotify.Create) && event.Name == filepath.Clean(socket) {
				return true
			}
		}
	}
}
