package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// during does what takes long while saying so on stderr: one line, which on a
// terminal counts the seconds. done words the outcome.
func (c *cli) during(text string, work func() (done string, err error)) error {
	stop := c.tick(text)
	started := time.Now()
	done, err := work()
	stop()
	if c.stderr.terminal {
		fmt.Fprintf(c.stderr, "\r\x1b[K%s… ", text)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err // which says that it was interrupted
	case err != nil:
		c.stderr.say("%s", c.stderr.paint(bad, "failed"))
		return err
	}
	if done == "" {
		done = "done"
	}
	done = c.stderr.paint(good, done)
	if took := time.Since(started); c.stderr.terminal && took >= time.Second {
		done += c.stderr.paint(faint, fmt.Sprintf(" (%.1fs)", took.Seconds()))
	}
	c.stderr.say("%s", done)
	return nil
}

// moment is how long something may take before a user wonders.
const moment = 2 * time.Second

// unlessQuick says why on stderr when work takes longer than a moment.
func (c *cli) unlessQuick(why string, work func() error) error {
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-done:
		case <-time.After(moment):
			c.stderr.say("%s", c.stderr.paint(faint, why))
		}
	})
	err := work()
	close(done)
	watch.Wait()
	return err
}

// tick writes the line and, on a terminal, its seconds until stopped. Stopping
// waits for the last write.
func (c *cli) tick(text string) (stop func()) {
	fmt.Fprintf(c.stderr, "%s… ", text)
	if !c.stderr.terminal {
		return func() {}
	}
	end := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		started := time.Now()
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-end:
				return
			case <-second.C:
				line := fmt.Sprintf("%s… %s", text, time.Since(started).Round(time.Second))
				fmt.Fprintf(c.stderr, "\r\x1b[K%s%s", line, c.stderr.paint(faint, c.overheard(line)))
			}
		}
	})
	return func() {
		close(end)
		work.Wait()
	}
}
