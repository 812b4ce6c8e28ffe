package h2

// Held is how many bytes a connection keeps of what came and of what waits to
// be written.
func (c *Conn) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := cap(c.out) + cap(c.old) + c.buffered
	return held
}
