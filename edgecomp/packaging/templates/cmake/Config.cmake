include("${CMAKE_CURRENT_LIST_DIR}/@NAME@Targets.cmake")
