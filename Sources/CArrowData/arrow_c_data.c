#include "arrow_c_data.h"
