package h2

// Held is how many bytes a connection keeps of what came and of what waits to
// be written.
func (c *Conn) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := cap(c.out) + cap(c.old) + c.buffered
	return held
}

// Kept is how many goroutines and streams wait for requests to come, the
// writer included.
func (c *Conn) Kept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := len(c.hands) + len(c.free)
	if c.writes {
		kept++
	}
	return kept
}

// Reads reports whether the connection holds what frames are read by. It is for
// the goroutine that reads.
func (c *Conn) Reads() bool { return c.in != nil }
