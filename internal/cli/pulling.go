package cli

import (
	"bufio"
	"context"
	"strings"
	"sync"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// hearPull has the line of `during` tell how far the platform is with bringing
// an image for the app, until stopped. Only who looks at a terminal is told;
// whatever keeps them from hearing is no fault of the deploy.
func (c *cli) hearPull(ctx context.Context, s *session, app string) (stop func()) {
	if !c.stderr.terminal {
		return func() {}
	}
	ctx, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		lines, err := s.Logs(ctx, app, api.LogQuery{Follow: true, Lines: 1, Source: platform.LogBuild})
		if err != nil {
			return
		}
		defer lines.Close()
		begun := false // the first line may be of another day
		for scanner := bufio.NewScanner(lines); scanner.Scan(); {
			text := parseLogLine(scanner.Text()).Text
			if begun = begun || strings.HasPrefix(text, "Pulling ") || strings.HasPrefix(text, "Waiting for other images"); begun {
				c.heard.Store(&text)
			}
		}
	})
	return func() {
		end()
		work.Wait()
		c.heard.Store(nil)
	}
}

// overheard is what was heard last, if there is room for it beside the rest.
func (c *cli) overheard(beside string) string {
	text := c.heard.Load()
	if text == nil {
		return ""
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, *text)
	if room := c.stderr.width() - len(beside) - 4; len(clean) > room {
		clean = clean[:max(0, room)]
	}
	return "  " + clean
}
