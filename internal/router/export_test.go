package router

import "time"

// SetUnderWay is how long one that was let go out of a lobby keeps its place
// from the next, for tests on machines of any speed.
func (r *Router) SetUnderWay(d time.Duration) { r.underWay = d }
