package controller

import "github.com/slipway-paas/slipway/internal/platform"

// errUnbuilt is what a verb answers that is not written yet.
var errUnbuilt = platform.ErrUnavailable
