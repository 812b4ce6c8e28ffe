package gitserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// refusal words an error for the user, with the cure. What is not the user's
// doing is logged and shown without its inside.
func (s *Server) refusal(app string, err error) string {
	name := s.opts.Name
	var spoken *platform.UserError
	switch {
	case errors.As(err, &spoken):
		return spoken.Error()
	case errors.Is(err, platform.ErrNotFound) && app != "":
		return fmt.Sprintf("app %q does not exist: create it with  %s apps create %s", app, name, app)
	case errors.Is(err, platform.ErrForbidden):
		return fmt.Sprintf("you, or the token you use, may not push to app %q or fetch it: ask its owner to make you a deployer of it", app)
	case errors.Is(err, platform.ErrUnauthenticated), errors.Is(err, platform.ErrNotFound):
		return fmt.Sprintf("this key or token is not known: log in with  %s login  and add your key with  %s keys add", name, name)
	}
	s.log.Error("git request was not served", "app", app, "err", err)
	return fmt.Sprintf("%s cannot serve git right now: try again in a moment, and see its log if it stays so", name)
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
