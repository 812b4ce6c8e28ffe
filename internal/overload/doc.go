// Package overload decides which requests of an app are served when it cannot
// serve all. It is handed each request's head and the time, and says: go on,
// wait, or turn it away and why. It waits for nothing, reads no clock and
// starts no goroutine: who has to wait is called back.
//
// A Gate stands before an app's instances of one process type. It gives out as
// many slots as they serve at a time (told, or found out: see limiter), queues
// the others for a moment, and looks at how long they queue. When that is too
// long it admits only requests up to a Level, which it moves in windows of
// 100 ms so that as much comes in as goes out. A Level is the business class of
// the request first and its user second: who is turned away is turned away with
// all requests, for an hour, so that those who are served are served wholly.
// The scheme is DAGOR (Zhou et al., SoCC 2018) with a feed-forward: the cursor
// goes where the measured output says, not down by steps.
//
// Levels knows which Level a request has. Rates bounds what one client may ask
// for, overloaded or not. Guard does for the router itself what a Gate does for
// an app, with a fair share for each app.
package overload
