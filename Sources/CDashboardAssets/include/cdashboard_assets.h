// The files of the dashboard, inside the program.
//
// The page's own files stand beside this target's source; the JavaScript libraries are embedded from where Debian's packages put
// them, at build time.
#ifndef SWIFTWATER_DASHBOARD_ASSETS_H
#define SWIFTWATER_DASHBOARD_ASSETS_H

#include <stddef.h>

struct sw_dashboard_asset {
    // As in a URL: "/pages/job.js"
    const char *path;
    // NULL when the file was not there at build time.
    const unsigned char *bytes;
    size_t count;
    // Debian's package that the file comes from; NULL for the page's own files.
    const char *package;
};

// The asset with that number, from 0 without gaps; NULL behind the last one.
const struct sw_dashboard_asset *sw_dashboard_asset_at(size_t number);

#endif
