package controller

// FirstLanes bounds how many lanes a start has at a time.
const FirstLanes = firstLanes

// Looking reports how many lanes there are, and whether every app there was at
// the start was looked at.
func (c *Controller) Looking() (lanes int, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lanes), len(c.unsaid) == 0
}

// Destroying reports whether something is left of an app without a row.
func (c *Controller) Destroying(app string) bool { return c.isDestroying(app) }
