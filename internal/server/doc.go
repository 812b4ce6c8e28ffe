// Package server is the REST door: it is handed HTTP requests under /v2,
// decodes each, calls one verb of the desk or of auth as the caller the token
// names, and encodes what comes back in the shapes of package api. All routes
// stand in one table, from which the OpenAPI document is made as well; one
// place turns platform's kinds of errors into answers.
package server
