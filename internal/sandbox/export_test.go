package sandbox

import (
	"log/slog"

	"github.com/slipway-paas/slipway/internal/platform"
)

// With is a sandbox as if the machine offered only that.
func With(log *slog.Logger, offer Offer) *Sandbox { return with(log, offer) }

// Plain is the offer of a machine without bubblewrap.
func (o Offer) Plain() Offer {
	o.mode, o.Isolation = modePlain, platform.IsolationUser
	return o
}
