package router

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// While two releases serve an app side by side its route is that of the new
// one, and beside it stands the route of the old one. Which of both a request
// goes to is decided once, before its first attempt, and holds for all of them;
// where the release that it belongs to has nobody up, the other serves it.

// shift says who goes to the new release. Immutable.
type shift struct {
	step   int
	weight uint64 // of platform.Whole
	client bool   // by client, not by request
	cookie string // that tells clients apart; empty: their address does
	salt   uint64
	canary match.Conditions
	mirror uint64 // of platform.Whole
	wrong  []string
	budget *platform.Budget                  // nil: the router judges nothing
	told   platform.LedBack                  // what was known of it before the router was
	undone *atomic.Pointer[platform.LedBack] // of the cutover
}

// ledBack reports whether the router has judged that nobody goes to the new
// release any more.
func (s *shift) ledBack() bool { return s.undone.Load() != nil }

// shiftOf is what a route says of its two releases; nil when it has one. With
// conditions that cannot be read nobody meets them.
func shiftOf(wish platform.Route) *shift {
	if wish.Shift == nil {
		return nil
	}
	w := wish.Shift
	s := &shift{
		step: w.Step, weight: shareOf(w.Weight), client: w.By == platform.ByClient, cookie: w.Cookie,
		salt: mix(hashOf(0, wish.App) + uint64(wish.Release)), mirror: shareOf(w.Mirror),
		budget: w.Budget, told: w.Undone, undone: new(atomic.Pointer[platform.LedBack]),
	}
	var err error
	if s.canary, err = match.CompileConditions(w.Canary); err != nil {
		s.wrong = []string{"the conditions of the canary are not applied: " + err.Error()}
	}
	return s
}

// complaints say what of the shift is not applied.
func (s *shift) complaints() []string {
	if s == nil {
		return nil
	}
	return s.wrong
}

func shareOf(n int) uint64 { return uint64(min(max(n, 0), platform.Whole)) }

// chooses decides whether a request goes to the new release.
func (s *shift) chooses(v *visit) bool {
	switch {
	case v.req != nil && s.canary.Met(v.req.Fields):
		return true
	case s.weight == 0:
		return false
	case s.client:
		return s.drawn(v) < s.weight
	}
	return rand.Uint64N(platform.Whole) < s.weight
}

// drawn is the lot of the client that a request is from, from 0 to Whole - 1.
// It depends on nothing but the client, the app and the release, so whoever is
// below a weight is below a greater one.
func (s *shift) drawn(v *visit) uint64 {
	if s.cookie != "" && v.req != nil {
		if value, ok := match.Cookie(v.req.Fields, s.cookie); ok && len(value) > 0 {
			return mix(hashOf(s.salt, value)) % platform.Whole
		}
	}
	return mix(hashOf(s.salt, v.client)) % platform.Whole
}

// hashOf is FNV-1a, begun with a salt.
func hashOf[T string | []byte](salt uint64, text T) uint64 {
	h := 14695981039346656037 ^ salt
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// mix spreads what differs in some bits over all (Stafford's thirteenth).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// lot is what was decided about a request, for one cutover.
type lot struct {
	cutover int64
	toNew   bool
}

// sides are the routes of the releases that may serve v, the one it belongs to
// first; without a shift that is the route itself, and nobody second.
func (rt *route) sides(v *visit) (first, second *route) {
	if rt.shift == nil {
		return rt, nil
	}
	if rt.shift.ledBack() {
		return rt.old, rt
	}
	if v.lot.cutover != rt.cutover {
		v.lot = lot{rt.cutover, rt.shift.chooses(v)}
	}
	if v.lot.toNew {
		return rt, rt.old
	}
	return rt.old, rt
}

// choose takes a place at the instance that v goes to, and says the route of
// its release. A refusal says why it goes to none.
func (rt *route) choose(now time.Duration, tried []*instance, last *instance, v *visit) (*route, berth, refusal) {
	process, why := rt.admit(v)
	if why != admitted {
		return rt, berth{}, why
	}
	first, second := rt.sides(v)
	at, why := first.pick(process, now, tried, last, v)
	if why != empty || second == nil {
		return first, at, why
	}
	if at, why := second.pick(process, now, tried, last, v); why == admitted {
		return second, at, admitted
	}
	return first, berth{}, empty
}

// anybody reports whether an instance is up that v may go to.
func (rt *route) anybody(process string, v *visit) bool {
	first, second := rt.sides(v)
	return first.pool(process).anybody() || second != nil && second.pool(process).anybody()
}

// poolsOf are the instances of a process type that connections to its ports may
// go to, the first before the second: while two releases serve, a connection,
// of which nothing can be sent again, stays with the old one.
func (rt *route) poolsOf(process string) (first, second pool) {
	if rt.old != nil {
		return rt.old.pool(process), rt.pool(process)
	}
	return rt.pool(process), nil
}

// beside is the route of the other release that serves beside rt, without
// backends; nil when there is none. All but them is the same for both.
func (rt *route) beside(old *route, wish platform.Route) *route {
	if wish.Shift == nil {
		return nil
	}
	side := *rt
	side.release, side.tally, side.shift = wish.Shift.From, tallyAfter(old, wish.Shift.From), nil
	return &side
}

// of is the route of a release; that of the new one unless it is the other's.
func (rt *route) of(release int) *route {
	if rt.old != nil && release != 0 && release == rt.old.release {
		return rt.old
	}
	return rt
}

// step is the number of the step that is under way; 0: one release serves.
func (rt *route) step() int {
	if rt.shift == nil {
		return 0
	}
	return rt.shift.step
}
